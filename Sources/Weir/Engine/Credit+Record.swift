import WeirBase

extension Credit {
    /// What a record holds before its bytes are copied: about what it takes in a batch.
    static func record(key: Int?, headers: Headers, value: Int) -> Credit {
        var bytes = 16 + value
        if let key { bytes += 16 + key }
        for (name, value) in headers { bytes += 8 + name.utf8.count + value.byteCountAbout }
        return Credit(bytes: bytes, records: 1)
    }
}

extension HeaderValue {
    fileprivate var byteCountAbout: Int {
        switch self {
        case .null, .bool: 1
        case .int, .unsigned, .double, .timestamp: 8
        case .uuid: 16
        case .bytes(let bytes): bytes.count
        case .string(let text), .symbol(let text): text.utf8.count
        }
    }
}
