"""Full-text search over the roadmap."""
