"""The page for a class, `python -m experiments.playground`: what is taught, live in the browser of each visitor.

Three kinds of processes: the browser, which draws what it is sent (`pictures.js`); the server of the page (`server`,
`session`), which computes nothing and so always answers; and one worker (`worker`) that all visitors share, which
computes a little for each in turn. A view is a file in `views/`, which says what stands on its page, and a class in
`simulations/` that the worker runs.
"""
