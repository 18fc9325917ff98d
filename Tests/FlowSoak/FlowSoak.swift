import Foundation

/// Flow control at work: each command plays one scene on a store of its own, prints one line of
/// JSON with its figures and whether they are `ok`, and exits with 1 where they are not.
///
///     weir-flow-soak stalled --bytes 10GiB --consumers 1000
///     weir-flow-soak beside --bytes 2GiB --consumers 1000
///     weir-flow-soak catchup --bytes 4GiB
///     weir-flow-soak tail --seconds 10
///     weir-flow-soak replay --bytes 1GiB
///     weir-flow-soak cursors --consumers 64 --seconds 5
///     weir-flow-soak group --dir STORE
///
/// With `--untimed`, `ok` says that everything was delivered and memory was kept, whatever the
/// clock says. It sees Weir as its users do: only what is public.
@main
enum FlowSoak {
    static let usage = """
        usage: weir-flow-soak stalled|beside|catchup|tail|replay|cursors|group [--dir FOLDER]
               [--untimed] [--bytes SIZE] [--consumers N] [--rounds N] [--seconds N] [--rate N]
        """

    static func main() async {
        do {
            let arguments = try Arguments(CommandLine.arguments.dropFirst())
            let line = try await run(arguments)
            print(line.text)
            if !line.isOkay { exit(1) }
        } catch {
            FileHandle.standardError.write(Data("weir-flow-soak: \(error)\n".utf8))
            exit(2)
        }
    }

    private static func run(_ arguments: Arguments) async throws -> ReportLine {
        switch arguments.command {
        case "stalled": try await StalledScene(arguments).play()
        case "beside": try await BesideScene(arguments).play()
        case "catchup": try await CatchUpScene(arguments).play()
        case "tail": try await TailScene(arguments).play()
        case "replay": try await ReplayScene(arguments).play()
        case "cursors": try await CursorScene(arguments).play()
        case "group": try await GroupScene(arguments).play()
        default: throw Usage("There is no command \(arguments.command).\n" + usage)
        }
    }
}
