"""Who is asked before a tool call runs. Pure: every fact about the machine is handed in, nothing here touches it."""
