// GET /hello/{name}: greets.

export async function handler(event) {
  const { name } = event.pathParameters;
  console.log(`greeting ${name}`);
  return {
    statusCode: 200,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ hello: name }),
  };
}
