import Foundation

/// A terminal's second page, drawn over in place; the first comes back whatever happens.
final class Screen {
    // Bytes that a signal handler may write: they are the program's, and never change.
    private static let enterText: StaticString = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
    private static let leaveText: StaticString = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

    private var isUp = false

    /// Whether standard output is a terminal that can be drawn over.
    static var isThere: Bool {
        let kind = ProcessInfo.processInfo.environment["TERM"] ?? "dumb"
        return isatty(1) == 1 && kind != "dumb"
    }

    func enter() {
        guard !isUp else { return }
        isUp = true
        Interrupt.installResizing()
        Interrupt.screenIsUp = true
        Self.send(Self.enterText)
        Interrupt.installStopping()
    }

    func leave() {
        guard isUp else { return }
        isUp = false
        Interrupt.uninstallStopping()
        Interrupt.screenIsUp = false
        Self.send(Self.leaveText)
    }

    deinit { leave() }

    /// Safe in a signal handler.
    static func restore() { send(leaveText) }

    /// The same.
    static func takeAgain() { send(enterText) }

    private static func send(_ text: StaticString) {
        _ = unsafe write(1, text.utf8Start, text.utf8CodeUnitCount)
    }

    /// Draws over what is there: nothing flickers, since no line is empty in between.
    func draw(_ lines: [String]) throws {
        let size = Terminal.size(of: 1)
        var text = "\u{1B}[H"
        for (index, line) in lines.prefix(size.height).enumerated() {
            let shown = Terminal.cut(line, to: size.width)
            // Behind a full line the cursor stands on its last character, which would go.
            let rest = shown.count < size.width ? "\u{1B}[K" : ""
            text += (index == 0 ? "" : "\r\n") + shown + rest
        }
        let isFull = lines.count >= size.height
        try StandardOutput.print(text + (isFull ? "" : "\r\n\u{1B}[J"))
    }
}

enum Terminal {
    /// Columns and lines; those of a small old terminal where nobody tells.
    static func size(of descriptor: Int32) -> (width: Int, height: Int) {
        var size = winsize()
        let isKnown =
            unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0
            && size.ws_col > 0 && size.ws_row > 0
        return isKnown ? (Int(size.ws_col), Int(size.ws_row)) : (80, 24)
    }

    static func cut(_ line: String, to width: Int) -> String {
        line.count <= width ? line : String(line.prefix(max(0, width - 1))) + "…"
    }

    /// A name that somebody else chose: no control characters reach the terminal.
    static func shown(_ name: String, widthMax: Int = 32) -> String {
        let safe = name.unicodeScalars.map { scalar -> Character in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
                .unassigned:
                "?"
            default: Character(scalar)
            }
        }
        return cut(String(safe), to: widthMax)
    }
}
