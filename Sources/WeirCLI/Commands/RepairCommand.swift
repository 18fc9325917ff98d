import ArgumentParser
import Foundation
import Weir

struct RepairCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair", abstract: "Say what can be repaired; with --apply, repair it.",
        discussion: """
            Verifies the store and prints a plan: numbered steps, and what is lost by each. \
            --apply performs exactly these steps, under the store's lock. What a step removes or \
            writes over is copied before, into a folder repair-… of the store with a list of the \
            copies. Batches are never changed: a damaged one stays where it is, and readers see \
            a gap. Interrupted, it can simply be run again.

            Exit status 0: nothing is damaged, or all of it was repaired; 3: damage is left.

            EXAMPLES
              weir repair
              weir repair --deep
              weir repair --apply
            """)

    @OptionGroup var options: StoreOptions
    @Flag(help: "Read every byte to find what there is to repair.") var deep = false
    @Flag(help: "Perform the plan.") var apply = false
    @Flag(help: "Print a JSON report.") var json = false

    func run() throws {
        let bar = SharedProgressBar("verify")
        let plan = try Store.repairPlan(at: options.path, deep: deep) { figures in
            bar.update(figures.bytes, of: figures.totalBytes, records: figures.records)
            return !Interrupt.isRequested
        }
        bar.end()
        try Interrupt.check()
        if !json { try StandardOutput.print(plan.text) }
        var done: RepairReport?
        if apply, !plan.steps.isEmpty {
            done = try Store.repair(at: options.path, performing: plan, deep: deep) { number, _ in
                if !json { Words.say("weir: step \(number)") }
            }
        }
        if json {
            try StandardOutput.print(plan.report(done).description + "\n")
        } else if let done {
            let copies = done.folder.map { "copies are in \($0)" } ?? "there was nothing to copy"
            try StandardOutput.print("\(done.stepCount) steps done; \(copies)\n")
        } else if !plan.steps.isEmpty {
            try StandardOutput.print("nothing was changed; --apply performs these steps\n")
        }
        let isLeft = plan.remaining.contains(where: \.isDamage)
        if isLeft || done == nil && !plan.steps.isEmpty {
            throw ExitRequest(status: ExitStatus.damage)
        }
    }
}

extension RepairPlan {
    var text: String {
        var lines: [String] = []
        for (index, step) in steps.enumerated() {
            lines.append("\(index + 1). \(step.description); \(step.loss)")
        }
        if steps.isEmpty { lines.append("nothing to repair") }
        if !remaining.isEmpty {
            lines.append("left as it is:")
            lines += remaining.flatMap(\.lines)
        }
        if quarantineCount > 0 {
            lines.append(
                "copies in quarantine that stay there: \(quarantineCount); a batch proves its "
                    + "place in its segment and can be put nowhere else, and what was cut has "
                    + "had its offsets given to others")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    func report(_ done: RepairReport?) -> JSONReport {
        .object([
            (
                "steps",
                .list(
                    steps.map { step in
                        .object([
                            ("kind", .text(step.kind.rawValue)),
                            ("stream", step.stream.isEmpty ? .null : .text(step.stream)),
                            ("path", .text(step.path)), ("does", .text(step.description)),
                            ("loss", .text(step.loss)),
                        ])
                    })
            ),
            ("remaining", .list(remaining.map(\.report))),
            ("quarantined", .number(quarantineCount)), ("applied", .flag(done != nil)),
            ("folder", done?.folder.map { .text($0) } ?? .null),
        ])
    }
}
