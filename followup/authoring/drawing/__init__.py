"""A workflow as a picture: a Mermaid flowchart, or an SVG document. Workflow and numbers in, text out."""
