// Counts, a line a second, as it goes: the first line is there before the last one is made.
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const to = Math.min(Number(event.queryStringParameters?.to ?? 10), 60);
  const answer = awslambda.HttpResponseStream.from(stream, {
    statusCode: 200,
    headers: { "content-type": "text/plain" },
  });
  for (let number = 1; number <= to; number++) {
    answer.write(`${number}\n`);
    if (number < to) await new Promise((done) => setTimeout(done, 1000));
  }
  answer.end();
});
