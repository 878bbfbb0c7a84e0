// Prints the access token that google-auth-library gets with application default credentials.
const { GoogleAuth } = require("google-auth-library");

new GoogleAuth({ scopes: ["https://www.googleapis.com/auth/cloud-platform"] }).getAccessToken().then(
  (token) => console.log(JSON.stringify({ token })),
  ({ name, message }) => console.log(JSON.stringify({ refused: { code: name, message } })),
);
