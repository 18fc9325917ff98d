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
        let waiting = WaitingAppends()
        store.watchWaitingAppends { waiting.goesOn($0, ending: Interrupt.isRequested) }
        var opened = OpenedStore(store: store, waiting: waiting)
        for report in store.reports { opened.say(report) }
        return opened
    }
}

/// Appends of a command that wait, at a gate or for room under a quota.
final class WaitingAppends: Sendable {
    private let state = Lock((isTold: false, isEnded: false))

    /// Says once for what an append waits; Ctrl-C ends it.
    func goesOn(_ reason: String, ending: Bool) -> Bool {
        if ending {
            state.withLock { $0.isEnded = true }
            return false
        }
        let isNew = state.withLock { state in
            defer { state.isTold = true }
            return !state.isTold
        }
        if isNew {
            ProgressBar.clearLine()
            Words.say("weir: the append waits: \(reason) Ctrl-C ends it.")
        }
        return true
    }

    /// What an error comes to. Of a wait that Ctrl-C ended it tells nothing new: whoever ended it
    /// knows for what it waited.
    func cause(of error: any Error) -> any Error {
        // A full disk is not a quota: the system gives it a number.
        guard let found = error as? WeirError, found.errno == nil,
            found.code == .noSpace || found.code == .timedOut,
            state.withLock({ $0.isEnded })
        else { return error }
        return ExitRequest(status: ExitStatus.interrupted)
    }
}

/// A store and whether damage was found in it.
struct OpenedStore {
    let store: Store
    let waiting: WaitingAppends
    private(set) var foundDamage = false

    init(store: Store, waiting: WaitingAppends) {
        self.store = store
        self.waiting = waiting
    }

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

    /// Closes the store behind an error that ended a command, when the last work is done, and gives
    /// what the command is to throw. What else fails is said.
    func closed(after error: any Error, _ lastWork: () throws -> Void = {}) -> any Error {
        let cause = waiting.cause(of: error)
        func attempt(_ work: () throws -> Void) {
            do {
                try work()
            } catch {
                let other = waiting.cause(of: error)
                if !(other is ExitRequest), "\(other)" != "\(cause)" { Words.say("weir: \(other)") }
            }
        }
        attempt(lastWork)
        attempt { try store.closeBlocking() }
        return cause
    }

    /// Closes the store and ends with status 3 if damage was found.
    func finish() throws {
        try store.closeBlocking()
        if foundDamage { throw ExitRequest(status: ExitStatus.damage) }
    }
}
