import Tensors
import Testing

@Suite struct TensorTypeTests {
    @Test func `Rows are whole blocks`() {
        #expect(TensorType.q4_K.rowBytes(columns: 512) == 288)
        #expect(TensorType.q8_0.rowBytes(columns: 64) == 68)
        #expect(TensorType.q8_0.rowBytes(columns: 33) == nil)
        #expect(TensorType.f32.rowBytes(columns: -1) == nil)
        #expect(TensorType.f32.rowBytes(columns: .max) == nil)
    }

    @Test func `Every type has a layout and a name of its own`() {
        #expect(TensorType.allCases.allSatisfy { $0.blockSize > 0 && $0.bytesPerBlock > 0 })
        #expect(Set(TensorType.allCases.map(\.name)).count == TensorType.allCases.count)
        #expect(TensorType(rawValue: 14)?.name == "Q6_K" && TensorType(rawValue: 4) == nil)
    }
}
