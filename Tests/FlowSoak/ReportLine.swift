import Foundation

/// One line of JSON: the figures in the order in which they were added.
struct ReportLine {
    private(set) var isOkay: Bool
    private var fields: [String]

    init(_ scene: String, isOkay: Bool) {
        self.isOkay = isOkay
        fields = ["\"scene\":\"\(scene)\"", "\"ok\":\(isOkay)"]
    }

    mutating func add(_ name: String, _ value: Int) { fields.append("\"\(name)\":\(value)") }
    mutating func add(_ name: String, _ value: Bool) { fields.append("\"\(name)\":\(value)") }
    mutating func add(_ name: String, _ value: Double) {
        fields.append("\"\(name)\":\(String(format: "%.3f", value))")
    }

    var text: String { "{" + fields.joined(separator: ",") + "}" }
}
