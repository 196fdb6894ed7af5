"""The console: pages in a browser that read files and tables, and ask the API for changes."""
