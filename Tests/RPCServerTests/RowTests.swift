import EngineProtocol
import Foundation
import TestSupport
import Testing

@testable import RPCServer

/// What a client can have made of hidden states and logits.
@Suite("Rows made smaller") struct RowTests {
    private func chunk(_ kind: TensorRequest.Kind, _ first: UInt32, _ values: [Float], columns: UInt32) -> TensorChunk {
        let rows = UInt32(values.count) / columns
        return TensorChunk(
            input: 0, kind: kind, firstRow: first, tensor: Tensor(rows: rows, columns: columns, values: values))
    }

    @Test("the mean of all rows and the last one do not depend on how the rows came")
    func pooling() throws {
        for cut in [1, 2, 3] {
            for (pooling, wanted) in [(RowSelection.Pooling.mean, [3, 4] as [Float]), (.last, [5, 6])] {
                var reducer = RowReducer(RowSelection(pooling: pooling))
                let values: [Float] = [1, 2, 3, 4, 5, 6]
                for start in stride(from: 0, to: 3, by: cut) {
                    let part = Array(values[start * 2..<min(3, start + cut) * 2])
                    #expect(try reducer.take(chunk(.hiddenStates, UInt32(start), part, columns: 2)) == nil)
                }
                let row = try #require(try reducer.finish())
                #expect(row.values.values == wanted && row.values.rows == 1 && row.width == 2)
                #expect(row.firstRow == (pooling == .last ? 2 : nil))
            }
        }
        var nothing = RowReducer(RowSelection(pooling: .mean))
        #expect(try nothing.finish() == nil)
    }

    @Test("rows of length 1")
    func normalization() throws {
        var reducer = RowReducer(RowSelection(normalizes: true))
        let rows = try #require(try reducer.take(chunk(.hiddenStates, 0, [3, 4, 0, 0], columns: 2)))
        #expect(rows.values.values == [0.6, 0.8, 0, 0], "a row of zeros stays one")
    }

    @Test("the largest logits of each row, and those of some tokens")
    func chosen() throws {
        let values: [Float] = [1, 5, 3, 5, 9, -1, 0, .infinity]
        var reducer = RowReducer(RowSelection(largest: 2))
        let largest = try #require(try reducer.take(chunk(.logits, 4, values, columns: 4)))
        #expect(largest.tokenIDs == [1, 3, 3, 0] && largest.values.values == [5, 5, .infinity, 9])
        #expect(largest.width == 4 && largest.values.columns == 2 && largest.firstRow == 4)
        reducer = RowReducer(RowSelection(largest: 9))
        let all = try #require(try reducer.take(chunk(.logits, 0, [2, 1], columns: 2)))
        #expect(all.tokenIDs == [0, 1], "there are no more")
        reducer = RowReducer(RowSelection(tokenIDs: [3, 0]))
        let some = try #require(try reducer.take(chunk(.logits, 0, values, columns: 4)))
        #expect(some.values.values == [5, 1, .infinity, 9] && some.tokenIDs == [3, 0, 3, 0])
        reducer = RowReducer(RowSelection(tokenIDs: [4]))
        #expect(throws: EngineError.self) { try reducer.take(chunk(.logits, 0, values, columns: 4)) }
    }

    @Test("random rows: the largest are those that sorting finds")
    func sorted() throws {
        var random = SeededRandom(seed: 12)
        for _ in 0..<50 {
            let width = Int.random(in: 1...200, using: &random)
            let values = (0..<width).map { _ in Float(Int.random(in: -20...20, using: &random)) }
            let count = Int.random(in: 1...20, using: &random)
            var reducer = RowReducer(RowSelection(largest: count))
            let rows = try #require(try reducer.take(chunk(.logits, 0, values, columns: UInt32(width))))
            let places = values.indices.sorted { (-values[$0], $0) < (-values[$1], $1) }.prefix(count)
            #expect(rows.tokenIDs == places.map { Int32($0) })
        }
    }

    @Test("a pooled row is in the final response, and chosen logits have their token ids")
    func wire() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(
            #"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi","mode":1,"pooling":"mean"}}"#)
        bench.worker.tell(
            accepted, started, .tensor(chunk(.hiddenStates, 0, [1, 2, 3, 4], columns: 2)),
            .choiceFinished(choice: 0, reason: .length), finished(completion: 0))
        let pooled = try client.take()
        #expect(pooled.count == 1, "nothing is streamed")
        let layer = try #require((pooled[0]["result"] as? [String: Any])?["last_hidden_layer"] as? [String: Any])
        #expect(layer["hidden_states"] as? [Double] == [2, 3] && layer["pooling"] as? String == "mean")
        #expect(layer["num_tokens"] as? Int == 1 && layer["embd_size"] as? Int == 2)
        client.send(
            #"{"jsonrpc":"2.0","id":2,"method":"rkllm.run","params":{"prompt":"Hi","mode":2,"logits_top_k":1}}"#)
        bench.worker.tell(accepted, started, .tensor(chunk(.logits, 0, [1, 2, 4, 3], columns: 2)))
        let part = try #require(try client.take().first?["params"] as? [String: Any])
        let logits = try #require((part["result"] as? [String: Any])?["logits"] as? [String: Any])
        #expect(logits["logits"] as? [Double] == [2, 4] && logits["token_ids"] as? [Int] == [1, 0])
        #expect(logits["vocab_size"] as? Int == 2 && logits["num_tokens"] as? Int == 2)
    }

    @Test(
        "what makes no sense for a mode is refused",
        arguments: [
            (#"{"prompt":"a","pooling":"last"}"#, "pooling"), (#"{"prompt":"a","mode":2,"pooling":"mean"}"#, "pooling"),
            (#"{"prompt":"a","mode":1,"logits_top_k":3}"#, "logits_top_k"),
            (#"{"prompt":"a","mode":2,"normalize":1}"#, "normalize"),
            (#"{"prompt":"a","mode":2,"logits_top_k":3,"logits_token_ids":[1]}"#, "logits_top_k"),
            (#"{"prompt":"a","mode":2,"logits_top_k":5000}"#, "logits_top_k"),
        ])
    func refused(params: String, field: String) throws {
        let failure = try RPCBench().connect().error("rkllm.run", params)
        #expect(failure.code == -32602 && failure.field == field, "\(failure.message)")
    }
}
