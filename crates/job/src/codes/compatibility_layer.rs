//! The codes of compatibility-layer. CL0 the process, CL1 what speaks against its targets.

crate::codes! {
    /// All of them, for `explain`.
    pub list CODES;
    pub LISTEN = "CL001", Failed, "The address cannot be listened on",
        "Another process has the port, the address is none of this machine, or the port is below 1024 and this user may not use it.",
        "Name other addresses with --listen and --probe-listen, or end the process that has the port.";
    pub RUNTIME = "CL002", Failed, "The process cannot wait for what happens",
        "The operating system gave no timer, no event queue or no signal handler: too many files are open, say.",
        "Raise the limit that the message names, then start the server again.";
    pub TARGET = "CL101", Refused, "The target cannot be reached",
        "`check` connects to each target that the configuration names. Nothing answers there. Events for it would be answered with 503.",
        "Correct the address in the section `layer`, or start the target; a NetworkPolicy must let the layer reach it.";
}
