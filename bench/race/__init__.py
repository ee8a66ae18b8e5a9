"""What `bench.answer` runs: four problems, our run and its peers, each in a process of its own, and the judge."""
