import CKernels
import Foundation
import TestSupport
import Testing

@testable import Tensors

@Suite struct DequantisationTests {
    struct Golden: Decodable {
        let type: String
        let packed: String
        let values: String
    }

    @Test func `Every packed type unpacks to the bits of the reference`() throws {
        let goldens = try JSONDecoder().decode(
            [Golden].self, from: Goldens.bytes("TensorsTests/Goldens/dequantise.json"))
        for golden in goldens {
            let type = try #require(TensorType.allCases.first { $0.name == golden.type })
            let packed = Goldens.bytes(hexadecimal: golden.packed)
            let expected = floats(Goldens.bytes(hexadecimal: golden.values))
            let unpacked = packed.withUnsafeBytes { FloatVector(type: type, count: expected.count, bytes: $0) }
            let values = try #require(unpacked).values
            #expect(values.map(\.bitPattern) == expected.map(\.bitPattern), "\(golden.type)")
        }
        let tested = Set(goldens.map(\.type)).union(["F32"])
        #expect(Set(TensorType.allCases.filter(\.isComputable).map(\.name)) == tested)
    }

    @Test func `The kernels and the Swift side agree on which types can be read`() {
        for type in TensorType.allCases { #expect((apus_can_dequantise(type.rawValue) != 0) == type.isComputable) }
    }

    @Test func `A wrong number of bytes is refused`() {
        let bytes = [UInt8](repeating: 0, count: 35)
        bytes.withUnsafeBytes {
            #expect(FloatVector(type: .q8_0, count: 32, bytes: $0) == nil)
            #expect(WeightMatrix(type: .q8_0, rows: 1, columns: 32, bytes: $0, owner: nil) == nil)
            #expect(WeightMatrix(type: .iq2_xs, rows: 1, columns: 256, bytes: $0, owner: nil) == nil)
            #expect(WeightMatrix(type: .i8, rows: 35, columns: 1, bytes: $0, owner: nil) == nil)
        }
    }
}

func floats(_ bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count - 3, by: 4).map { place in
        Float(bitPattern: bytes[place..<place + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
    }
}
