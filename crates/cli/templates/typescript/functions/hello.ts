// GET /hello/{name}: greets.

export interface Event {
  pathParameters: { name: string };
}

export interface Answer {
  statusCode: number;
  headers: Record<string, string>;
  body: string;
}

export async function handler(event: Event): Promise<Answer> {
  const { name } = event.pathParameters;
  console.log(`greeting ${name}`);
  return {
    statusCode: 200,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ hello: name }),
  };
}
