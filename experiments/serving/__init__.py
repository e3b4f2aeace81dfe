"""An OpenAI-compatible server of the offline engine (an in-context CRF, not a language model), with faults on demand."""
