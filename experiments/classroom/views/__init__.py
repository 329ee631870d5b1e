"""The views of the playground, one a file: what stands on its page, as `view.View` says it."""
