import Foundation
import Weir

/// Whether somebody pressed Ctrl-C or asked the process to end.
enum Interrupt {
    // Written by the signal handler, read by loops: one byte-sized flag, nothing else.
    private nonisolated(unsafe) static var flag: sig_atomic_t = 0

    private nonisolated(unsafe) static var screenFlag: sig_atomic_t = 0
    private nonisolated(unsafe) static var resizeFlag: sig_atomic_t = 0

    static var isRequested: Bool { unsafe flag != 0 }

    /// Whether a terminal has to be put right before the process ends.
    static var screenIsUp: Bool {
        get { unsafe screenFlag != 0 }
        set { unsafe screenFlag = newValue ? 1 : 0 }
    }

    /// The first signal asks; the second ends the process at once.
    static func install() {
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                if unsafe Interrupt.flag != 0 {
                    if Interrupt.screenIsUp { Screen.restore() }
                    _exit(ExitStatus.interrupted)
                }
                unsafe Interrupt.flag = 1
            }
        }
    }

    /// A line that somebody types, with its end; `nil` behind the last. Throws if a signal came.
    static func line() throws -> String? {
        var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        // Reading would go on behind a signal. Only a terminal is asked: it gives a line at a time,
        // of a pipe some may wait in the buffer already.
        while isatty(0) == 1, unsafe poll(&waiting, 1, 1000) <= 0 { try check() }
        try check()
        return readLine(strippingNewline: false)
    }

    static func check() throws {
        if isRequested { throw ExitRequest(status: ExitStatus.interrupted) }
    }

    static func installResizing() {
        signal(SIGWINCH) { number in unsafe Interrupt.resizeFlag = 1 }
    }

    /// Ctrl-Z gives the terminal back for as long as the process stands still.
    static func installStopping() {
        signal(SIGTSTP) { number in
            Screen.restore()
            kill(getpid(), SIGSTOP)
            // Here it goes on.
            Screen.takeAgain()
            unsafe Interrupt.resizeFlag = 1
        }
    }

    static func uninstallStopping() { signal(SIGTSTP, SIG_DFL) }

    /// Sleeps until a moment; `true` if the terminal has another size before that. Throws when
    /// somebody asks the process to end.
    static func sleep(until end: ContinuousClock.Instant) throws -> Bool {
        while true {
            try check()
            if unsafe resizeFlag != 0 {
                unsafe resizeFlag = 0
                return true
            }
            let left = (end - .now) / .microseconds(1)
            guard left > 0 else { return false }
            // A signal that comes just before it is seen this much later.
            usleep(UInt32(min(left, 100_000).rounded(.up)))
        }
    }
}

/// Standard output or a file, buffered. A reader that went away (`| head`) ends the command
/// quietly.
final class StandardOutput {
    private let descriptor: Int32
    private let name: String
    private let advice: String
    private var buffer: [UInt8] = []
    /// Takes in what is written, where somebody wants to know it.
    var digest: SHA256?
    private static let flushBytes = 64 << 10

    init(
        descriptor: Int32 = 1, name: String = "standard output",
        advice: String = "make room, or send the output elsewhere"
    ) {
        self.descriptor = descriptor
        self.name = name
        self.advice = advice
    }

    func write(_ fill: (inout [UInt8]) -> Void) throws {
        fill(&buffer)
        if buffer.count >= Self.flushBytes { try flush() }
    }

    /// A closed standard stream reads as empty and swallows what is written: nothing else may get
    /// its number.
    static func openWhatIsClosed() {
        for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 {
            let opened = unsafe open("/dev/null", O_RDWR)
            precondition(opened == descriptor, "the lowest free number is given first")
        }
    }

    /// The whole of a report at once.
    static func print(_ text: String) throws {
        let output = StandardOutput()
        try output.write { $0 += Array(text.utf8) }
        try output.flush()
    }

    /// Ends the command quietly if nobody reads any more, for one that waits: it would notice only
    /// when it has something to write.
    func expectReader() throws {
        var end = pollfd(fd: descriptor, events: 0, revents: 0)
        if unsafe poll(&end, 1, 0) > 0, end.revents & Int16(POLLERR | POLLHUP) != 0 {
            throw ExitRequest(status: ExitStatus.done)
        }
    }

    func flush() throws {
        var written = 0
        while written < buffer.count {
            let count = unsafe buffer.withUnsafeBytes { bytes in
                unsafe Foundation.write(
                    descriptor, bytes.baseAddress.map { unsafe $0 + written },
                    bytes.count - written)
            }
            if count > 0 {
                written += count
            } else if errno == EPIPE {
                throw ExitRequest(status: ExitStatus.done)
            } else if errno != EINTR {
                throw WeirError(
                    .system, "Writing to \(name) failed: \(systemMessage()); \(advice).",
                    errno: errno)
            }
        }
        digest?.add(buffer)
        buffer.removeAll(keepingCapacity: true)
    }
}

/// Words for a person: standard error.
enum Words {
    static func say(_ text: String) { show(harmless(text) + "\n") }

    /// Names come from anywhere: what would move a terminal's cursor is spelled out.
    static func harmless(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard scalars.contains(where: isControl) else { return text }
        return scalars.map { isControl($0) ? $0.escaped(asASCII: true) : String($0) }.joined()
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t"
    }

    /// As it is. Whoever closed standard error wants no words, and is no reason to fail.
    static func show(_ text: String) {
        let bytes = Array(text.utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
    }
}

/// A line on the terminal that says how far long work is; silent in a pipe, and for a second.
final class ProgressBar {
    private let total: Int?
    private let label: String
    private let unit: String
    private let start = Date()
    private var lastDraw = Date()
    private var isDrawn = false
    private let isActive: Bool

    init(_ label: String, total: Int?, unit: String = "records") {
        self.unit = unit
        self.label = label
        self.total = total
        self.isActive = isatty(2) == 1
    }

    /// `done` counts towards `total`, in bytes or records; `records` is for the rate.
    func update(done: Int, records: Int) {
        guard isActive else { return }
        let now = Date()
        let elapsed = now.timeIntervalSince(start)
        guard elapsed > 1, now.timeIntervalSince(lastDraw) > 0.1 else { return }
        lastDraw = now
        isDrawn = true
        var line = "\(label) \(Numbers.grouped(records)) \(unit)"
        line += ", \(Numbers.grouped(Int(Double(records) / elapsed))) a second"
        if let total, total > 0 {
            let share = min(1, Double(done) / Double(total))
            let cells = Int(share * 20)
            let bar =
                String(repeating: "█", count: cells) + String(repeating: "░", count: 20 - cells)
            line = "\(bar) \(Int(share * 100)) %  " + line
            if share > 0.01 {
                line += ", \(Int(elapsed / share - elapsed) + 1) s left"
            }
        }
        show(String(line.prefix(width - 1)))
    }

    /// Takes the line away.
    func end() {
        if isDrawn { show("") }
        isDrawn = false
    }

    /// Makes room for words where a bar may be drawn.
    static func clearLine() {
        if isatty(2) == 1 { Words.show("\r\u{1B}[K") }
    }

    private func show(_ line: String) {
        Words.show("\r\u{1B}[K\(line)")
    }

    private var width: Int {
        var size = winsize()
        return unsafe ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20
            ? Int(size.ws_col) : 80
    }
}

/// Numbers for people.
enum Numbers {
    /// 1,234,567
    static func grouped(_ number: Int) -> String {
        var digits = String(number.magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (number < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }

    /// "1 record", "1,234 records"
    static func records(_ count: Int) -> String { counted(count, "record") }

    /// "1 stream", "2 streams"
    static func counted(_ count: Int, _ noun: String) -> String {
        "\(grouped(count)) \(noun)" + (count == 1 ? "" : "s")
    }

    /// 7 d, 90 s: in the largest unit of which it is a whole number.
    static func duration(_ seconds: Int) -> String {
        let units = [("d", 86_400), ("h", 3600), ("min", 60)]
        let unit = units.first { seconds > 0 && seconds.isMultiple(of: $0.1) } ?? ("s", 1)
        return "\(grouped(seconds / unit.1)) \(unit.0)"
    }

    /// 1.2 GiB
    static func bytes(_ count: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(count)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(count) B" : String(format: "%.1f %@", value, units[unit])
    }
}

/// Columns that line up; the first is text, the others are put to the right.
struct Table {
    private var rows: [[String]]

    init(_ head: [String]) { rows = [head] }

    mutating func add(_ row: [String]) { rows.append(row) }

    var text: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.indices.map { column in
                let gap = String(repeating: " ", count: widths[column] - row[column].count)
                return column == 0 ? row[column] + gap : gap + row[column]
            }.joined(separator: "  ")
        }.joined(separator: "\n") + "\n"
    }
}
