import TestSupport
import Testing

@testable import ModelFiles

@Suite struct SplitFileTests {
    private func part(_ number: UInt16, of count: UInt16, total: Int32 = 2, tensor: String) -> GGUFBytes {
        var writer = GGUFWriter()
        if number == 0 { writer.set("general.name", .string("whole")) }
        writer.set("split.no", .uint16(number))
        writer.set("split.count", .uint16(count))
        writer.set("split.tensors.count", .int32(total))
        writer.add(tensor, dimensions: [2], floats: [Float(number), 1])
        return GGUFBytes(copying: writer.bytes())
    }

    @Test(arguments: [[0, 1], [1, 0]]) func `Parts in any order make one model`(order: [Int]) throws {
        let parts = [part(0, of: 2, tensor: "x"), part(1, of: 2, tensor: "y")]
        let file = try GGUFFile(parts: order.map { parts[$0] })
        #expect(file.metadata.string("general.name") == "whole")
        #expect(file.tensors.map(\.name) == ["x", "y"] && file.tensors.map(\.part) == [0, 1])
        let y = try #require(file.tensor(named: "y"))
        #expect(file.bytes(of: y).loadUnaligned(as: Float.self) == 1)
    }

    @Test func `Parts that do not fit together are refused`() {
        let x = part(0, of: 2, tensor: "x")
        let refused: [(parts: [GGUFBytes], says: String)] = [
            ([], "no file"),
            ([x], "has 2 part(s), but 1 file(s)"),
            ([x, x], "two files say that they are part 1"),
            ([x, part(1, of: 2, tensor: "x")], "tensor \"x\" is in two parts"),
            ([x, part(5, of: 2, tensor: "y")], "split.no"),
            ([part(0, of: 2, total: 3, tensor: "x"), part(1, of: 2, tensor: "y")], "split.tensors.count"),
            ([x, part(1, of: 0, tensor: "y")], "split.count"),
        ]
        for (parts, says) in refused {
            let error = #expect(throws: ModelFileError.self) { try GGUFFile(parts: parts) }
            #expect(error?.description.contains(says) == true, "\(String(describing: error))")
        }
    }
}
