public import WeirBase

/// A setting as words.
public struct SettingWords: Sendable, Hashable {
    public let key: String
    public let value: String
    /// The same as people write it, 7d for 604800s: in the largest unit of which it is a whole
    /// number.
    public let text: String
    /// The value of a stream that was created without it.
    public let standard: String
    /// Whether it can be changed after the creation.
    public let isChangeable: Bool
}

extension StreamConfiguration {
    /// All settings as `weir config` prints them.
    public var words: [SettingWords] {
        let standard = StreamConfiguration()
        return Setting.allCases.map {
            SettingWords(
                key: $0.rawValue, value: $0.text(of: self), text: $0.shown(of: self),
                standard: $0.shown(of: standard), isChangeable: true)
        }
            + Self.fixed.map {
                SettingWords(
                    key: $0.key, value: $0.text(self), text: $0.shown(self),
                    standard: $0.shown(standard), isChangeable: false)
            }
    }

    /// Applies `KEY=VALUE`, a key of those that can be changed. Throws `invalidArgument`.
    public mutating func apply(_ word: String) throws(WeirError) {
        guard let equals = word.firstIndex(of: "=") else {
            throw WeirError(.invalidArgument, "The setting \(word) is no KEY=VALUE.")
        }
        let key = String(word[..<equals])
        guard let setting = Setting(rawValue: key) else {
            if let fixed = Self.fixed.first(where: { $0.key == key }) {
                throw Self.stays("setting \(key)", fixed.reason)
            }
            throw WeirError(
                .invalidArgument,
                "There is no setting \(key); there are "
                    + Setting.allCases.map(\.rawValue).joined(separator: ", ") + ".")
        }
        try setting.apply(String(word[word.index(after: equals)...]), to: &self)
    }

    private struct Fixed: Sendable {
        let key: String
        let reason: Reason
        var units: [(String, Int)] = []
        let text: @Sendable (StreamConfiguration) -> String

        func shown(_ settings: StreamConfiguration) -> String {
            Setting.shown(text(settings), units)
        }
    }

    private static let fixed = [
        Fixed(key: "batch.bytes", reason: .batchLimit, units: Setting.byteUnits) {
            "\($0.batchBytesMax)"
        },
        Fixed(key: "commit.alignment", reason: .alignment) { "\($0.commitAlignment)" },
        Fixed(key: "index.keys", reason: .index) { $0.keyIndex ? "on" : "off" },
        Fixed(key: "index.headers", reason: .index) { Setting.list($0.indexedHeaders) },
        Fixed(key: "partition", reason: .partition) {
            $0.partition.map { "\($0.index) of \($0.count)" } ?? Setting.none
        },
    ]
}

/// The settings that can be changed.
private enum Setting: String, CaseIterable {
    case durability, visibility, compression, linger
    case segmentBytes = "segment.bytes"
    case compaction
    case compactionDirty = "compaction.dirty"
    case compactionLag = "compaction.lag"
    case compactionTombstones = "compaction.tombstones"
    case retentionAge = "retention.age"
    case retentionBytes = "retention.bytes"
    case retentionRecords = "retention.records"
    case retentionHeldBy = "retention.held-by"
    case retentionHeldBytes = "retention.held-bytes"
    case quotaBytes = "quota.bytes"
    case quotaPolicy = "quota.policy"

    static let none = "none"
    /// Readers see as far as appends are acknowledged.
    private static let asDurability = "as-durability"

    static func list(_ names: [String]) -> String {
        names.isEmpty ? none : names.joined(separator: ",")
    }

    func text(of settings: StreamConfiguration) -> String {
        func number(_ value: Int?, _ unit: String = "") -> String {
            value.map { "\($0)\(unit)" } ?? Setting.none
        }
        let compaction = settings.compaction
        let retention = settings.retention
        switch self {
        case .durability:
            switch settings.durability {
            case .durable: return "durable"
            case .flushed: return "flushed"
            case .interval(let milliseconds): return "interval:\(milliseconds)"
            }
        case .visibility: return settings.visibility?.rawValue ?? Setting.asDurability
        case .compression: return settings.compression.rawValue
        case .linger: return "\(settings.lingerMicroseconds)"
        case .segmentBytes: return "\(settings.segmentBytes)"
        case .compaction: return compaction == nil ? "off" : "on"
        case .compactionDirty: return number(compaction?.dirtyPercent)
        case .compactionLag: return number(compaction?.lagSecondsMin, "s")
        case .compactionTombstones: return number(compaction?.tombstoneSecondsMin, "s")
        case .retentionAge: return number(retention?.ageSecondsMax, "s")
        case .retentionBytes: return number(retention?.bytesMax)
        case .retentionRecords: return number(retention?.recordsMax)
        case .retentionHeldBy: return Setting.list(retention?.heldBy ?? [])
        // A stream without retention tells the bound that its first cursor would have.
        case .retentionHeldBytes: return number((retention ?? RetentionPolicy()).heldBytesMax)
        case .quotaBytes: return number(settings.quota?.bytesMax)
        case .quotaPolicy: return settings.quota?.policy.rawValue ?? Setting.none
        }
    }

    /// With the largest unit that leaves a whole number.
    func shown(of settings: StreamConfiguration) -> String {
        let text = text(of: settings)
        switch self {
        case .compactionLag, .compactionTombstones, .retentionAge:
            return Setting.shown(text, [("d", 86_400), ("h", 3600), ("m", 60)])
        case .segmentBytes, .retentionBytes, .retentionHeldBytes, .quotaBytes:
            return Setting.shown(text, Setting.byteUnits)
        default: return text
        }
    }

    static let byteUnits = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ]

    static func shown(_ text: String, _ units: [(String, Int)]) -> String {
        guard let number = Int(text.prefix { $0.isNumber }), number > 0,
            let unit = units.first(where: { number.isMultiple(of: $0.1) })
        else { return text }
        return "\(number / unit.1)\(unit.0)"
    }

    func apply(_ text: String, to settings: inout StreamConfiguration) throws(WeirError) {
        switch self {
        case .durability: settings.durability = try durability(text)
        case .compression:
            guard let compression = Compression(rawValue: text) else {
                throw wrong(text, "off, lz4 or auto")
            }
            settings.compression = compression
        case .visibility: settings.visibility = try visibility(text)
        case .linger: settings.lingerMicroseconds = try count(text)
        case .segmentBytes: settings.segmentBytes = try bytes(text)
        case .compaction: try switchCompaction(text, &settings)
        case .compactionDirty, .compactionLag, .compactionTombstones:
            guard settings.compaction != nil else {
                throw WeirError(
                    .invalidArgument,
                    "The setting \(rawValue) is for streams that are compacted; set compaction=on "
                        + "before it.")
            }
            switch self {
            case .compactionDirty: settings.compaction?.dirtyPercent = try count(text)
            case .compactionLag: settings.compaction?.lagSecondsMin = try seconds(text)
            default: settings.compaction?.tombstoneSecondsMin = try seconds(text)
            }
        case .retentionAge, .retentionBytes, .retentionRecords, .retentionHeldBy,
            .retentionHeldBytes:
            var policy = settings.retention ?? RetentionPolicy()
            try apply(text, to: &policy)
            // Of one that keeps nothing in bounds only "no bound" is kept, for a cursor to come.
            var bare = RetentionPolicy()
            if self != .retentionHeldBytes { bare.heldBytesMax = policy.heldBytesMax }
            settings.retention = policy == bare ? nil : policy
        case .quotaBytes, .quotaPolicy: try applyQuota(text, &settings)
        }
    }

    private func apply(_ text: String, to policy: inout RetentionPolicy) throws(WeirError) {
        let isNone = text == Setting.none
        switch self {
        case .retentionAge: policy.ageSecondsMax = isNone ? nil : try seconds(text)
        case .retentionBytes: policy.bytesMax = isNone ? nil : try bytes(text)
        case .retentionRecords: policy.recordsMax = isNone ? nil : try count(text)
        case .retentionHeldBytes: policy.heldBytesMax = isNone ? nil : try bytes(text)
        default: policy.heldBy = isNone ? [] : try cursors(text)
        }
    }

    /// Nothing is no name: where a variable was empty, nobody would be held back for any more.
    private func cursors(_ text: String) throws(WeirError) -> [String] {
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if names.contains("") { throw wrong(text, "names of cursors with commas between, or none") }
        return names
    }

    private func switchCompaction(
        _ text: String, _ settings: inout StreamConfiguration
    ) throws(WeirError) {
        switch text {
        case "on": settings.compaction = settings.compaction ?? CompactionPolicy()
        case "off": settings.compaction = nil
        default: throw wrong(text, "on or off")
        }
    }

    private func applyQuota(
        _ text: String, _ settings: inout StreamConfiguration
    ) throws(WeirError) {
        if self == .quotaBytes {
            if text == Setting.none {
                settings.quota = nil
            } else {
                settings.quota = Quota(
                    bytesMax: try bytes(text), policy: settings.quota?.policy ?? .failFast)
            }
            return
        }
        guard let policy = Quota.Policy(rawValue: text) else { throw wrong(text, "wait or fail") }
        guard settings.quota != nil else {
            throw WeirError(
                .invalidArgument,
                "The setting \(rawValue) is for streams that have a quota; set quota.bytes before "
                    + "it.")
        }
        settings.quota?.policy = policy
    }

    // MARK: values

    private func durability(_ text: String) throws(WeirError) -> Durability {
        switch text {
        case "durable": return .durable
        case "flushed": return .flushed
        default:
            guard text.hasPrefix("interval:"), let milliseconds = UInt32(text.dropFirst(9)) else {
                throw wrong(text, "durable, flushed or interval:MS")
            }
            return .interval(milliseconds: milliseconds)
        }
    }

    private func visibility(_ text: String) throws(WeirError) -> Visibility? {
        if text == Setting.asDurability { return nil }
        guard let visibility = Visibility(rawValue: text) else {
            throw wrong(text, "durable, flushed or \(Setting.asDurability)")
        }
        return visibility
    }

    private func count(_ text: String) throws(WeirError) -> Int {
        guard let number = Int(text), number >= 0 else { throw wrong(text, "a number") }
        return number
    }

    private func seconds(_ text: String) throws(WeirError) -> Int {
        // Seven of what? Of nothing it is the same.
        if text == "0" { return 0 }
        return try scaled(
            text, ["s": 1, "m": 60, "h": 3600, "d": 86_400],
            "a time with its unit, such as 90s, 15m, 12h or 7d")
    }

    private func bytes(_ text: String) throws(WeirError) -> Int {
        try scaled(
            text,
            [
                "": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20,
                "g": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tib": 1 << 40,
            ], "a size such as 64MiB or 8GiB")
    }

    private func scaled(
        _ text: String, _ factors: [String: Int], _ expected: String
    ) throws(WeirError) -> Int {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).lowercased()
        guard let number = Int(digits), let factor = factors[unit] else {
            throw wrong(text, expected)
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        if overflow { throw wrong(text, expected) }
        return product
    }

    private func wrong(_ text: String, _ expected: String) -> WeirError {
        WeirError(
            .invalidArgument, "The setting \(rawValue) is \"\(text)\"; expected \(expected).")
    }
}
