"""How tasks are computed: in this process, in processes of this machine, or on a Ray cluster."""
