"""What studies share: claims and their verdicts, the record of a study, tools, the command line."""
