"""Forward passes of many replicas over many points, for observation and prediction."""
