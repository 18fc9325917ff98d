import WeirBase
import WeirFiles
import WeirFormat
import WeirLog

/// What of a stream's records stands in the index.
struct IndexedFields: Sendable {
    let hasKeys: Bool
    let headers: [String]

    init(keys hasKeys: Bool, headers: [String]) {
        self.hasKeys = hasKeys
        self.headers = headers
    }

    /// Of Weir's own streams nothing does.
    init<Files: FileSystem>(_ stream: StoreEngine<Files>.OpenStream) {
        let configuration = stream.configuration
        let isUsers = !stream.name.isSystem
        self.init(
            keys: isUsers && configuration.keyIndex,
            headers: isUsers ? configuration.indexedHeaders : [])
    }

    var isEmpty: Bool { !hasKeys && headers.isEmpty }
    /// Batches in which no record has a key have nothing for the index.
    var areKeysOnly: Bool { headers.isEmpty }

    /// Calls `body` with each hash under which the index names the record; a hash may come twice.
    func forEachHash(of record: borrowing RecordView, _ body: (UInt64) -> Void) {
        if hasKeys, let key = record.key { body(keyHash(key)) }
        guard !headers.isEmpty else { return }
        record.forEachHeader { name, value in
            if headers.contains(where: { $0.isSame(as: name) }) { body(headerHash(name, value)) }
        }
    }
}

/// What a replay looks for.
enum WantedField: Sendable {
    case key([UInt8])
    case header(name: String, value: HeaderValue)
    /// A header of any kind but bytes whose value is this text, as `weir read` prints it.
    case headerText(name: String, text: String)
    /// A record time. The index has none: headers of batches tell, and the manifest.
    case times(Range<Timestamp>)

    var hash: UInt64 {
        switch self {
        case .key(let key): keyHash(key)
        case .header(let name, let value): headerHash(name, value)
        case .headerText(let name, let text): headerHash(name, text: text)
        case .times: 0
        }
    }

    var isKey: Bool { if case .key = self { true } else { false } }

    /// Batches that cannot hold one.
    var passed: PassedBatches {
        switch self {
        case .key: .keyless
        case .times(let window): .outside(window)
        case .header, .headerText: .none
        }
    }

    /// Why the index does not know of it; `nil` if it does.
    func reasonToScan(_ fields: IndexedFields) -> String? {
        switch self {
        case .key: fields.hasKeys ? nil : "the stream's keys are not indexed"
        case .times: nil
        case .header(let name, _), .headerText(let name, _):
            fields.headers.contains { $0.isSame(as: name) }
                ? nil : "the stream's header \(name) is not indexed"
        }
    }

    /// Whether a record has it. Agrees with `hash`: what matches has the wanted one's hash.
    func matches(_ record: borrowing RecordView, appendTime: Timestamp) -> Bool {
        switch self {
        case .times(let window): return window.contains(record.recordTime ?? appendTime)
        case .key(let key): return record.hasKey(key)
        case .header(let wanted, let value):
            return Self.hasHeader(record) { $0.isSame(as: wanted) && $1.isSame(as: value) }
        case .headerText(let wanted, let text):
            return Self.hasHeader(record) { name, value in
                if case .bytes = value { return false }
                return name.isSame(as: wanted) && value.description.isSame(as: text)
            }
        }
    }

    private static func hasHeader(
        _ record: borrowing RecordView, where holds: (String, HeaderValue) -> Bool
    ) -> Bool {
        var isFound = false
        record.forEachHeader { if !isFound { isFound = holds($0, $1) } }
        return isFound
    }
}

extension String {
    /// Byte by byte: texts that only look the same have other hashes.
    fileprivate func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}

extension HeaderValue {
    /// Of the same kind, and not to be told apart.
    fileprivate func isSame(as other: HeaderValue) -> Bool {
        switch (self, other) {
        case (.string(let text), .string(let wanted)), (.symbol(let text), .symbol(let wanted)):
            text.isSame(as: wanted)
        case (.double(let number), .double(let wanted)): number.bitPattern == wanted.bitPattern
        default: self == other
        }
    }
}
