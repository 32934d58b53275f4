"""Hold a run: claim, renew, give up, and decide the fate of a claim whose process is gone."""
