"""The application: opened by startup.py, built by build.py, run by serving.py."""
