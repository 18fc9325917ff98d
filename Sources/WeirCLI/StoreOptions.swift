import ArgumentParser
import Foundation
import Logging
import Weir

/// Which store; the same for every command.
struct StoreOptions: ParsableArguments {
    @Option(
        help: "The store's directory (else WEIR_STORE, else ./weir-data).",
        completion: .directory)
    var store: String?

    var path: String {
        store ?? ProcessInfo.processInfo.environment["WEIR_STORE"] ?? "./weir-data"
    }

    /// Opens the store for a stream that may be new, and makes it if there is none: not for a name
    /// that no stream can have, which would leave an empty store behind.
    func open(making stream: String) throws -> OpenedStore {
        try Store.expectUserName(stream)
        return try open(.createOrWrite)
    }

    /// Opens the store and says what opening found.
    func open(_ access: Store.Access) throws -> OpenedStore {
        var logger = Logger(label: "weir")
        // The reports are said below, once each, and not as a log.
        logger.logLevel = .critical
        let store = try Store.openBlocking(at: path, access, logger: logger)
        store.watchWaitingAppends(Self.waiter())
        var opened = OpenedStore(store: store)
        for report in store.reports { opened.say(report) }
        return opened
    }

    /// Says once for what an append waits; Ctrl-C ends it.
    private static func waiter() -> @Sendable (String) -> Bool {
        let isTold = Lock(false)
        return { reason in
            if !isTold.withLock({ isTold in
                defer { isTold = true }
                return isTold
            }) {
                Words.say("weir: the append waits: \(reason) Ctrl-C ends it.")
            }
            return !Interrupt.isRequested
        }
    }
}

/// A store and whether damage was found in it.
struct OpenedStore {
    let store: Store
    private(set) var foundDamage = false

    init(store: Store) { self.store = store }

    mutating func say(_ report: DamageReport) {
        Words.say("weir: \(report.isDamage ? "damage" : "note"): \(report)")
        if report.isDamage { foundDamage = true }
    }

    /// The stream is told where several are read.
    mutating func say(_ gap: Gap, of stream: StreamName? = nil) {
        let place = stream.map { "of \($0) " } ?? ""
        guard gap.expected <= gap.next else {
            return Words.say(
                "weir: gap (\(gap.reason.rawValue)): reading \(place)goes on at offset "
                    + "\(gap.next), and not at \(gap.expected); \(gap.detail)")
        }
        Words.say(
            "weir: gap (\(gap.reason.rawValue)): \(Numbers.records(gap.next - gap.expected)) "
                + "\(place)missing, from offset \(gap.expected) to before \(gap.next); "
                + gap.detail)
        if gap.reason == .damage { foundDamage = true }
    }

    /// Closes the store and ends with status 3 if damage was found.
    func finish() throws {
        try store.closeBlocking()
        if foundDamage { throw ExitRequest(status: ExitStatus.damage) }
    }
}
