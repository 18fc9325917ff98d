package import WeirBase

/// Time, randomness and identity, handed in so that a simulation can choose them.
package struct Host: Sendable {
    /// Wall clock. May jump; whoever needs monotone times takes the maximum with the previous one.
    package let now: @Sendable () -> Timestamp
    /// 64 random bits, for ids.
    package let random: @Sendable () -> UInt64
    package let bootID: BootID
    /// Who we are, for the lock's message: pid, host name, program.
    package let processID: Int32
    package let hostName: String
    package let programName: String

    package init(
        now: @escaping @Sendable () -> Timestamp,
        random: @escaping @Sendable () -> UInt64,
        bootID: BootID,
        processID: Int32,
        hostName: String,
        programName: String
    ) {
        self.now = now
        self.random = random
        self.bootID = bootID
        self.processID = processID
        self.hostName = hostName
        self.programName = programName
    }
}
