import ArgumentParser
import Weir

/// How `read` and `tail` print records.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    /// The value and a line feed; a tombstone prints nothing.
    case value
    /// An object a line, which `append --format ndjson` reads back.
    case json
    case csv
    case hex
}

/// Turns records into text.
struct RecordFormatter {
    let format: OutputFormat
    /// Each record tells its stream: several are merged.
    var namesStream = false

    /// What stands before the first record.
    func appendHead(to out: inout [UInt8]) {
        guard format == .csv else { return }
        out += Array(((namesStream ? "stream," : "") + Self.columns + "\n").utf8)
    }

    static let columns = "offset,time,key,value,headers"

    func append(_ record: Record, of stream: StreamName, to out: inout [UInt8]) {
        switch format {
        case .value:
            guard let value = record.value else { return }
            out += value
            out.append(10)
        case .json: appendJSON(record, stream, to: &out)
        case .csv:
            // A stream's name has nothing in it that would have to be quoted.
            if namesStream { out += Array("\(stream),".utf8) }
            appendCSV(record, to: &out)
        case .hex:
            if namesStream { out += Array("stream \(stream), ".utf8) }
            appendHex(record, to: &out)
        }
    }

    private func appendJSON(_ record: Record, _ stream: StreamName, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "{"))
        if namesStream { out += Array("\"stream\":\"\(stream)\",".utf8) }
        out += Array("\"offset\":\(record.offset),\"time\":\"\(record.time)\"".utf8)
        if let key = record.key {
            out.append(UInt8(ascii: ","))
            JSONText.append(member: "key", key, to: &out)
        }
        if !record.headers.isEmpty {
            out += Array(",\"headers\":".utf8)
            JSONText.append(record.headers, to: &out)
        }
        out.append(UInt8(ascii: ","))
        if let value = record.value {
            JSONText.append(member: "value", value, to: &out)
        } else {
            out += Array("\"value\":null".utf8)
        }
        out += [UInt8(ascii: "}"), 10]
    }

    private func appendCSV(_ record: Record, to out: inout [UInt8]) {
        out += Array("\(record.offset),\(record.time),".utf8)
        if let key = record.key { appendField(key, to: &out) }
        out.append(UInt8(ascii: ","))
        if let value = record.value { appendField(value, to: &out) }
        out.append(UInt8(ascii: ","))
        if !record.headers.isEmpty {
            var headers: [UInt8] = []
            JSONText.append(record.headers, to: &headers)
            appendField(headers, to: &out)
        }
        out.append(10)
    }

    /// Quoted where it has to be (RFC 4180), and where it is empty: without quotes it is missing.
    private func appendField(_ field: [UInt8], to out: inout [UInt8]) {
        let special: Set<UInt8> = [UInt8(ascii: ","), UInt8(ascii: "\""), 10, 13]
        guard field.isEmpty || field.contains(where: { special.contains($0) }) else {
            out += field
            return
        }
        out.append(UInt8(ascii: "\""))
        for byte in field {
            if byte == UInt8(ascii: "\"") { out.append(byte) }
            out.append(byte)
        }
        out.append(UInt8(ascii: "\""))
    }

    private func appendHex(_ record: Record, to out: inout [UInt8]) {
        let value = record.value ?? []
        let key = record.key.map { ", key " + String(decoding: $0, as: UTF8.self) } ?? ""
        let kind = record.value == nil ? "tombstone" : "\(value.count) bytes"
        out += Array("offset \(record.offset), \(record.time)\(key), \(kind)\n".utf8)
        out += HexText.rows(value)
    }
}

/// Rows of sixteen bytes, in hexadecimal and as text.
enum HexText {
    private static let digits = Array("0123456789abcdef".utf8)

    static func rows(_ bytes: [UInt8], from address: Int = 0) -> [UInt8] {
        var out: [UInt8] = []
        var start = 0
        while start < bytes.count {
            let row = bytes[start..<min(start + 16, bytes.count)]
            let place = String(address + start, radix: 16)
            out += Array((String(repeating: "0", count: max(0, 8 - place.count)) + place).utf8)
            for index in 0..<16 {
                out.append(32)
                if index == 8 { out.append(32) }
                let byte = start + index < bytes.count ? bytes[start + index] : nil
                out.append(byte.map { digits[Int($0 >> 4)] } ?? 32)
                out.append(byte.map { digits[Int($0 & 15)] } ?? 32)
            }
            out += [32, 32]
            out += row.map { (32..<127).contains($0) ? $0 : UInt8(ascii: ".") }
            out.append(10)
            start += 16
        }
        return out
    }
}
