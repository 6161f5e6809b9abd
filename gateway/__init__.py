"""The executable room: listeners, intake, pipeline, store, workers and the command line over the other rooms."""
