import ArgumentParser
import Foundation
import Weir

/// The knobs of reading ahead. With any of them, records are read by a subscription: Weir's threads
/// read ahead, exactly as far as the window allows.
struct FlowOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Read ahead and not printed yet, at most so much: 1MiB, or 1MiB:500 records.",
            valueName: "bytes[:records]"))
    var maxQueue: CreditArgument?
    @Option(parsing: .unconditional, help: "How long a record may be held: 50ms, 2s.")
    var latencyBudget: DurationArgument?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Read ahead and being printed, at most so much: 2MiB, or 2MiB:1000 records.",
            valueName: "bytes[:records]"))
    var maxOutstanding: CreditArgument?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "adaptive (chosen by what printing takes), or so much for good.",
            valueName: "adaptive|bytes[:records]"))
    var window: WindowArgument?

    var isGiven: Bool {
        maxQueue != nil || latencyBudget != nil || maxOutstanding != nil || window != nil
    }

    func validate() throws {
        guard window?.size == nil || maxQueue == nil && latencyBudget == nil else {
            throw ValidationError(
                "--window of one size leaves nothing to choose; leave out --max-queue and "
                    + "--latency-budget, or say --window adaptive.")
        }
        do throws(WeirError) {
            try options(consumer: "cli").validate()
        } catch {
            throw ValidationError(error.message)
        }
    }

    func subscribe(to stream: LogStream, from start: StartPosition) throws -> Subscription {
        try stream.subscribe(from: start, options(consumer: "cli-\(getpid())"))
    }

    private func options(consumer: String) -> SubscriptionOptions {
        let standard = FlowKnobs()
        let most = maxOutstanding?.credit(records: standard.maxOutstanding.records)
        let queue = maxQueue?.credit(records: standard.maxQueue.records)
        let outstanding = most ?? standard.maxOutstanding
        let knobs = FlowKnobs(
            // Of the two, what was said counts, and what was not is made to fit.
            maxQueue: queue ?? standard.maxQueue.limited(to: outstanding),
            latencyBudget: latencyBudget?.duration ?? standard.latencyBudget,
            maxOutstanding: outstanding)
        let fixed = window?.size?.credit(records: outstanding.records)
        return SubscriptionOptions(
            consumer: consumer, mode: fixed.map { .fixed($0) } ?? .adaptive, knobs: knobs)
    }
}

/// `64KiB`, or `64KiB:1000`: bytes, and records if one likes.
struct CreditArgument: ExpressibleByArgument {
    private let bytes: Int
    private let records: Int?

    init?(argument: String) {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let size = ByteSizeArgument(argument: String(first)) else {
            return nil
        }
        bytes = size.bytes
        if parts.count == 2 {
            guard let count = Int(parts[1]), count >= 0 else { return nil }
            records = count
        } else {
            records = nil
        }
    }

    func credit(records most: Int) -> Credit { Credit(bytes: bytes, records: records ?? most) }
}

/// `adaptive`, or a size.
struct WindowArgument: ExpressibleByArgument {
    /// `nil` where the store chooses.
    let size: CreditArgument?

    init?(argument: String) {
        if argument == "adaptive" {
            size = nil
        } else {
            guard let given = CreditArgument(argument: argument) else { return nil }
            size = given
        }
    }
}

/// `250us`, `50ms`, `2s`, `5m`.
struct DurationArgument: ExpressibleByArgument {
    let duration: Duration

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits), number < 1 << 40 else { return nil }
        switch argument.dropFirst(digits.count) {
        case "us": duration = .microseconds(number)
        case "ms": duration = .milliseconds(number)
        case "s": duration = .seconds(number)
        case "m": duration = .seconds(number * 60)
        default: return nil
        }
    }
}
