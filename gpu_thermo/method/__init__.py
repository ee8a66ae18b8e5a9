"""Text to Program: letters of splitting words, words, named methods, schedules, and the partitions they act on."""
