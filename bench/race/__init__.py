"""What `bench.answer` runs: four problems, our run and its peers on them, each in a process of its own, and the judge."""
