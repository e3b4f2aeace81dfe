"""The verbs of the command line and their output. Other modules do not import this package."""
