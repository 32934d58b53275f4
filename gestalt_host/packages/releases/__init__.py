"""What is published: release metadata, versions, indexes of repositories, and where a source leads to."""
