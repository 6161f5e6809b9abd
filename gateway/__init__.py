"""The executable room: command line, listeners, pipeline, store and workers, over the other rooms."""
