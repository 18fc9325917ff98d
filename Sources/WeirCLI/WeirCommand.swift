import ArgumentParser

@main
struct WeirCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "weir")
}
