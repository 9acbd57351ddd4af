"""Who may call, and how a request is repeated safely."""
