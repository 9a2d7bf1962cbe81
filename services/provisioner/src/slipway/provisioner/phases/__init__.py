"""What the steps of the phases do. Each step may run again after a crash: it looks before it acts."""
