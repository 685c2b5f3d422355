"""The StudioLM Chat Completions API: one generation path for every AWS event source."""
