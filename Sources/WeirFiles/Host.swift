package import WeirBase

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Time, randomness and identity, handed in so that a simulation can choose them.
package final class Host: Sendable {
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

extension Host {
    /// The machine and the process that this runs in.
    package static func system() -> Host {
        Host(
            now: wallClock,
            random: { UInt64.random(in: 1...UInt64.max) },
            bootID: currentBootID(),
            processID: getpid(),
            hostName: currentHostName(),
            programName: CommandLine.arguments.first.map(lastComponent) ?? "unknown")
    }

    @Sendable package static func wallClock() -> Timestamp {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(
            microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    /// Of this machine, whoever may use it.
    package static var memoryBytes: Int { sysconf(Int32(_SC_PHYS_PAGES)) * pageSize }

    /// Since some start, by a clock that nobody sets.
    @Sendable package static func monotonicNanoseconds() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private static func lastComponent(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    private static func currentHostName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&name, 255) == 0 else { return "unknown" }
        return String(
            decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The kernel draws one at every boot; `unknown` where it tells none.
    private static func currentBootID() -> BootID {
        let descriptor = systemOpen(
            AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .unknown }
        defer { _ = systemClose(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = unsafe pread(descriptor, &bytes, 64, 0)
        let digits = bytes.prefix(max(0, count)).filter { $0 != UInt8(ascii: "-") }.prefix(32)
        guard digits.count == 32,
            let high = UInt64(String(decoding: digits.prefix(16), as: UTF8.self), radix: 16),
            let low = UInt64(String(decoding: digits.suffix(16), as: UTF8.self), radix: 16)
        else { return .unknown }
        return BootID(high: high, low: low)
    }
}
