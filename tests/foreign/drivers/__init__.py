"""One command-line driver per foreign Kafka client, all with the same verbs; see `registry`."""
