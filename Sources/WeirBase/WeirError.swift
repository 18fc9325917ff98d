/// A failure: what was found, what was expected, where, and what to do.
///
/// Outcomes that a program expects (the end of a log, a gap) are values, never errors. The set of
/// codes is open: new versions add some, so a `switch` over them needs a `default`.
public struct WeirError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure; stable, and the thing to compare.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        public let description: String
        package init(_ description: String) { self.description = description }

        /// An argument, name, time or setting is outside what is allowed.
        public static let invalidArgument = Code("invalidArgument")
        /// The path, stream or segment does not exist.
        public static let notFound = Code("notFound")
        /// What was to be created exists already.
        public static let alreadyExists = Code("alreadyExists")
        /// Another process, or this one, has the store open for writing.
        public static let locked = Code("locked")
        /// The operating system refused for lack of permission, or the file is not safe to use.
        public static let permissionDenied = Code("permissionDenied")
        /// Store, segment or batch was written by a newer version of Weir.
        public static let newerFormat = Code("newerFormat")
        /// Bytes on disk are not what was written.
        public static let damaged = Code("damaged")
        /// The disk, or the quota, is full. Nothing was appended; there must be space first.
        public static let noSpace = Code("noSpace")
        /// The process has as many files, maps or threads as it may.
        public static let exhausted = Code("exhausted")
        /// Another failure of the operating system or the device.
        public static let system = Code("system")
        /// A record, header or batch is larger than the limit.
        public static let tooLarge = Code("tooLarge")
        /// A conditional append found another next offset than it expected.
        public static let unexpectedOffset = Code("unexpectedOffset")
        /// An earlier sync failed, so this writer takes nothing more until the store is reopened.
        public static let poisoned = Code("poisoned")
        /// The store, stream or cursor was closed.
        public static let closed = Code("closed")
        /// The call would have to wait, and it may not.
        public static let wouldBlock = Code("wouldBlock")
        /// Records that were expected are not there.
        public static let gap = Code("gap")
        /// A deadline passed before it was done; nothing was.
        public static let timedOut = Code("timedOut")
        /// A group's member lost the lease under which it got a batch; who has it now is said.
        public static let leaseLost = Code("leaseLost")
        /// Input text (NDJSON, CSV) is malformed.
        public static let malformedInput = Code("malformedInput")
    }

    public let code: Code
    /// One sentence for a person: found, expected, where, what to do.
    public let message: String
    /// What lies behind it, such as the operating system's own error.
    public let cause: String?
    /// The operating system's number, where it was the one that failed.
    public let errno: Int32?
    public let place: Place?

    /// Where it happened, as far as it is known.
    public struct Place: Sendable, Hashable, CustomStringConvertible {
        public var path: String?
        public var stream: String?
        public var position: FilePosition?
        public var offset: Offset?

        public init(
            path: String? = nil, stream: String? = nil, position: FilePosition? = nil,
            offset: Offset? = nil
        ) {
            self.path = path
            self.stream = stream
            self.position = position
            self.offset = offset
        }

        public var description: String {
            var parts: [String] = []
            if let stream { parts.append("stream \(stream)") }
            if let path { parts.append(path) }
            if let position { parts.append("byte \(position)") }
            if let offset { parts.append("offset \(offset)") }
            return parts.joined(separator: ", ")
        }
    }

    public init(
        _ code: Code, _ message: String, at place: Place? = nil, cause: String? = nil,
        errno: Int32? = nil
    ) {
        self.code = code
        self.message = message
        self.cause = cause
        self.errno = errno
        self.place = place
    }

    public var description: String {
        var text = message
        if let place, !place.description.isEmpty { text += " (\(place))" }
        if let cause { text += ": \(cause)" }
        return text
    }
}

extension WeirError {
    /// Bytes that are not what was written, at a place in a file.
    package static func damaged(
        _ message: String, path: String? = nil, at position: FilePosition? = nil,
        offset: Offset? = nil
    ) -> WeirError {
        WeirError(
            .damaged, message, at: Place(path: path, position: position, offset: offset))
    }

    package static func newerFormat(_ message: String, path: String? = nil) -> WeirError {
        WeirError(.newerFormat, message, at: path.map { Place(path: $0) })
    }

    /// Whether what kept one segment from being read may keep no other: its medium, its bytes, its
    /// name or its rights, and not what the process lacks.
    package var isOfOneSegment: Bool { ![.closed, .newerFormat, .exhausted].contains(code) }

    /// The same failure with a more exact place: known parts stay, unknown ones are filled in.
    package func located(_ outer: Place) -> WeirError {
        var place = place ?? Place()
        place.path = place.path ?? outer.path
        place.stream = place.stream ?? outer.stream
        place.position = place.position ?? outer.position
        place.offset = place.offset ?? outer.offset
        return WeirError(code, message, at: place, cause: cause, errno: errno)
    }
}
