"""Who may call, how often, and how a request is repeated safely."""
