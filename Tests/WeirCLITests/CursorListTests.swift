// An executable's inside can be tested in debug builds only.
#if DEBUG
    import Foundation
    import Testing
    import Weir

    @testable import WeirCLI

    @Suite("A list of cursors")
    struct CursorListTests {
        private static let good = #"{"stream":"s","name":"a","epoch":1,"offset":4}"#
        private static let unreadable = #"{"stream":"s","name":"b","problem":"it is empty"}"#

        @Test(arguments: [
            (cursors: "", damage: "", isWhole: true), (cursors: good, damage: "", isWhole: true),
            (cursors: good, damage: #""commits are missing""#, isWhole: false),
            (cursors: unreadable, damage: "", isWhole: false),
            (cursors: good + "," + unreadable, damage: "", isWhole: false),
        ])
        func `is whole where each says where it stands, and none may be missing`(
            cursors: String, damage: String, isWhole: Bool
        ) throws {
            let json = #"{"cursors":[\#(cursors)],"damage":[\#(damage)]}"#
            let list = try JSONDecoder().decode(CursorList.self, from: Data(json.utf8))
            #expect(list.isWhole == isWhole)
        }
    }
#endif
