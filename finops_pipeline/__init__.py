"""A FinOps cost attribution pipeline: from the bill to feature, tenant and environment."""
